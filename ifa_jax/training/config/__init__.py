"""Settings of a run.

run_config          all settings, typed, with their defaults and meaning
defaults            the same as a ConfigDict that config files start from
baselines           published settings of the compared systems
files               config files, by path or name
resolve             settings that the device and pretrained encoders decide
checks              checks of a config against its dataset and devices
dataset_settings    the prepared dataset that a config needs
run_record          the config that a run's folder records
"""
