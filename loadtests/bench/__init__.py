"""The bench: ratios of this service to peers and to limits, all measured in one run on one machine.

Times of different machines, or of one machine on different days, say little. A ratio to a bare application on the same
server, pinned to the same core a second earlier, says what the work in between costs.
"""
