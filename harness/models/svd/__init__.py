"""Biased matrix factorisation by stochastic gradient descent."""
