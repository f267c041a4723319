"""The machine: guest memory behind real page tables, the CPU, the initial stack and the run loop."""
