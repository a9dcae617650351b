"""What looks at checkpoints where they lie: standard library, Python 3.6. It tells facts and judges nothing."""
