"""Untrusted files and atomic writes.

json_file        JSON, with the path in every error
dataclass_dict   settings from and to nested dicts
torch_file       PyTorch's files, without PyTorch
params_file      parameters as safetensors
orbax_tree       structure of an Orbax checkpoint
scratch, whole   working folders, and folders that appear complete or not at all
archives         zip archives
checksums        CRC32C of a folder's files
shown            values and errors in error messages
"""
