"""Matrix factorisation that knows which titles a user has rated at all."""
