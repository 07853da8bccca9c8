"""TFRecord shards to shuffled, padded batches.

dataset          a split as batches
decode_records   records to arrays, by tf.data
tfrecord         random access to the records of TFRecord files
sampling         the rows of each batch, by seed and epoch; visual shuffles
cache            decoded rows, kept: host_cache and device_cache
"""
