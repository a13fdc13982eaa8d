"""Other libraries: the LoRA updates of a PEFT model from a service."""
