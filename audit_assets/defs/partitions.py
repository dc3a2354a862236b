"""The dynamic partitions. Keys are slugs. No key is ever deleted; a flag in its table retires it."""

import dagster as dg

shard = dg.DynamicPartitionsDefinition(name="shard")
subject = dg.DynamicPartitionsDefinition(name="subject")
referenced_subject = dg.DynamicPartitionsDefinition(name="referenced_subject")
model_version = dg.DynamicPartitionsDefinition(name="model_version")

# Dagster orders the parts of a key by the name of the dimension: `<model version>|<subject>`.
grid = dg.MultiPartitionsDefinition({"model_version": model_version, "subject": subject})

model_of_grid = dg.MultiToSingleDimensionPartitionMapping(partition_dimension_name="model_version")
everything = dg.AllPartitionMapping()


def add_keys(context: dg.AssetExecutionContext, definition: dg.DynamicPartitionsDefinition, keys: list[str]) -> None:
    """Add the new keys, in the given order."""
    assert definition.name is not None
    known = set(context.instance.get_dynamic_partitions(definition.name))
    new = [key for key in keys if key not in known]
    if new:
        context.instance.add_dynamic_partitions(definition.name, new)
