"""Systems that came after those of the paper.

two_stream   settings that the two systems of pixels share
mkgformer    prefix-guided interaction and correlation-aware fusion
hvformer     a text that looks at three depths of a frozen vision stream
hvpnet       a pyramid of visual features as a prefix of keys and values
"""
