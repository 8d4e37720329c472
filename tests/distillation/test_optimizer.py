import torch

from distillation.optimizer import RowAdam


def test_a_row_moves_as_in_torch_adam():
    table = torch.randn(5, 3)
    parameter = table.clone().requires_grad_()
    reference = torch.optim.Adam([parameter], lr=0.1)
    optimizer = RowAdam(table)
    rows = torch.arange(5)
    for seed in range(4):
        gradient = torch.randn(5, 3, generator=torch.Generator().manual_seed(seed))
        parameter.grad = gradient.clone()
        reference.step()
        optimizer.step(rows, gradient, learning_rate=0.1)
    torch.testing.assert_close(table, parameter.detach(), atol=1e-5, rtol=1e-5)


def test_other_rows_rest():
    table = torch.ones(4, 2)
    RowAdam(table).step(torch.tensor([2]), torch.ones(1, 2), learning_rate=0.5)
    assert table[[0, 1, 3]].tolist() == [[1, 1]] * 3
    torch.testing.assert_close(table[2], torch.full((2,), 0.5), atol=1e-4, rtol=0)


def test_state_goes_round():
    first, second = torch.zeros(3), torch.zeros(3)
    optimizer = RowAdam(first)
    optimizer.step(torch.tensor([0, 1]), torch.tensor([1.0, -1.0]), learning_rate=0.1)
    second.copy_(first)
    again = RowAdam(second)
    again.restore(optimizer.state())
    for one in (optimizer, again):
        one.step(torch.tensor([1, 2]), torch.tensor([0.3, 0.2]), learning_rate=0.1)
    assert torch.equal(first, second)
