"""The dialects of the hardware level: `cpu`, what CPUs have beyond the loop level's ops, and those of GPUs."""
