"""What every room stands on: errors, time, money, digests, files, YAML, SQL quoting."""
