"""Table `brands`: which brands there are, and in which regions their data may live."""

INSERT = """
insert into wagerledger.brands (tenant_id, region) values (%s, %s)
on conflict do nothing
returning row_to_json(brands)
"""

LOAD = """
select tenant_id, region from wagerledger.brands order by tenant_id, region
"""
