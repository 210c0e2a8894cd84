"""Print the JSON Schema of a record: docs/reference/audit.schema.json."""

import json
import sys

from snellen.record.schema import json_schema

sys.stdout.write(json.dumps(json_schema(), indent=2) + "\n")
