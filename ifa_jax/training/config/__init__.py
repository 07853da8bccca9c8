"""Settings of a run.

defaults            the config that all others start from
baselines           published settings of the compared systems
files               config files, by path or name
config_checks       checks of a config, its dataset and its devices
dataset_settings    the prepared dataset that a config needs
precision           the dtype of a run
"""
