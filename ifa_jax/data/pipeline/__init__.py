"""TFRecord shards to shuffled, padded batches.

dataset          the batches of a split
decode_records   records to arrays, by tf.data
tfrecord         random access to the records of TFRecord files
sampling         the rows of each batch, by seed and epoch; visual shuffles
cache            caches of decoded rows: host_cache and device_cache
"""
