"""The Factory's tables: loaded through contracts, masked, published as snapshots."""
