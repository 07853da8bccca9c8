# It declares no types. Those that are inferred from its code make a setting
# whatever any setting may be, so that no use of one fits.
from ml_collections.config_dict import ConfigDict as ConfigDict
