"""The live proof of the freshness contract: three server processes, real servers behind them, faults, and a checker."""
