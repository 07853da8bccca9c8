"""Files of any kind, read without trust and written atomically.

json_file                    JSON, with the path in every error
torch_file                   PyTorch's files, over pickle_data and archives
orbax_tree                   the structure of an Orbax checkpoint
torch_save                   writes a PyTorch file
scratch, whole               folders that appear complete or not at all
checksums                    CRC32C of a folder's files
shown                        a value as an error message quotes it
"""
