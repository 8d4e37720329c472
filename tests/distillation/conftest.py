"""Tiny tensors gain nothing from threads, and threads waiting for each other on a busy machine cost seconds."""

import torch

torch.set_num_threads(1)
