"""Cold start: packing, fine-tuning, and the small base model. Needs the `train` extra (torch)."""
