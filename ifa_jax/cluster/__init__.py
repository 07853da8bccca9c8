"""Work on the machines of a Ray cluster, or on all cores and GPUs of this one.

[Ray](https://docs.ray.io) schedules the work: its actors load a model once
each, and are replaced when they die. All machines need this package, and the
same files under the same paths. Ray is the extra `ray`; only commands with
`--ray` import it.

    connection    the flag `--ray`; Ray is started, or a cluster found
    workers       work on items, by actors; the result of each
"""
