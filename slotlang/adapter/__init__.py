"""PEFT LoRA adapters: read, checked module by module, and summed up."""

from slotlang.adapter.adapter import Adapter, LoraModule, Rule, Unusable, read_adapter

__all__ = ["Adapter", "LoraModule", "Rule", "Unusable", "read_adapter"]
