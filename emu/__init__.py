"""rt0: boots Go programs inside an emulator and shows what their start-up computes."""
