"""What tests and `python -m trec.parity` share: random models, and the meaning of a model in plain numpy."""
