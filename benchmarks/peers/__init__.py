"""What runs beside other libraries; the workers run in environments of these libraries."""
