"""Tiny tensors gain nothing from threads, and threads that wait for each other cost seconds."""

import torch

torch.set_num_threads(1)
