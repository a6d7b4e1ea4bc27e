"""The gate itself: a case, its checks, the policy, and the verdict."""
