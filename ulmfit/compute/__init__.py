"""The machine: devices, bf16 or fp32, memory pages."""
