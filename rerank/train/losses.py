"""What a list of passages teaches: losses over padded matrices of logits, one row a list."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

ABSENT = -1e4  # logit of a place where a shorter list has no passage


def listwise(logits: Tensor, labels: Tensor, present: Tensor) -> Tensor:
    """Cross-entropy of the labels' distribution and the logits' softmax (ListNet, Cao et al. 2007).

    :param logits: float (lists, places).
    :param labels: float (lists, places), grades; 0 is not relevant.
    :param present: bool (lists, places), False on padding.
    :return: the mean over lists, a scalar.
    """
    target = labels / labels.sum(-1, keepdim=True).clamp_min(1e-6)
    log_share = torch.log_softmax(logits.masked_fill(~present, ABSENT), -1)
    return -(target * log_share).sum(-1).mean()


def pairwise(logits: Tensor, labels: Tensor, present: Tensor) -> Tensor:
    """Logistic loss on every pair whose labels differ (RankNet, Burges et al. 2005).

    :param logits: float (lists, places).
    :param labels: float (lists, places), grades.
    :param present: bool (lists, places), False on padding.
    :return: the mean over pairs, a scalar.
    """
    both = present[:, :, None] & present[:, None, :]
    better = (labels[:, :, None] > labels[:, None, :]) & both
    margin = logits[:, :, None] - logits[:, None, :]
    # Of a step whose labels are all alike nothing is learnt.
    return functional.softplus(-margin[better]).sum() / better.sum().clamp_min(1)


def margin(logits: Tensor, teacher: Tensor, labels: Tensor, present: Tensor) -> Tensor:
    """Squared error of the margins over the best passage (margin-MSE, Hofstätter et al. 2020).

    :param logits: float (lists, places).
    :param teacher: float (lists, places), in units of logits.
    :param labels: float (lists, places); the first best-labelled place of a list is its positive.
    :param present: bool (lists, places), False on padding.
    :return: the mean over passages, a scalar.
    """
    best = labels.argmax(-1, keepdim=True)
    ours = logits.gather(-1, best) - logits
    theirs = teacher.gather(-1, best) - teacher
    return (ours - theirs)[present].square().mean()


def divergence(logits: Tensor, teacher: Tensor, present: Tensor) -> Tensor:
    """Kullback-Leibler divergence of the student's softmax from the teacher's.

    :param logits: float (lists, places).
    :param teacher: float (lists, places), in units of logits.
    :param present: bool (lists, places), False on padding.
    :return: the mean over lists, a scalar.
    """
    ours = torch.log_softmax(logits.masked_fill(~present, ABSENT), -1)
    theirs = torch.log_softmax(teacher.masked_fill(~present, ABSENT), -1)
    return functional.kl_div(ours, theirs, reduction="batchmean", log_target=True)


LABEL_LOSSES: dict[str, Callable[[Tensor, Tensor, Tensor], Tensor]] = {
    "listwise": listwise,
    "pairwise": pairwise,
}


def loudness(logits: Tensor, present: Tensor) -> Tensor:
    """Variance of logits within their list: 0 where they leave its order alone.

    :param logits: (lists, width).
    :param present: 1 where there is a passage of a list that counts, alike.
    :return: mean over those passages, a scalar; 0 where there are none.
    """
    count = present.sum(1, keepdim=True).clamp(min=1)
    centred = (logits - (logits * present).sum(1, keepdim=True) / count) * present
    return (centred**2).sum() / present.sum().clamp(min=1)
