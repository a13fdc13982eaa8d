"""PEFT adapters, and encrypted runs compared with numpy."""
