"""The published tag format: how a turn is written and read. (Being built.)"""
