"""What dbt is told of a schema: ``sources`` says what stands in it, ``yaml`` writes that down."""
