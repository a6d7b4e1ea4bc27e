"""The Lab's money: budget, reservations, spend and costs."""
