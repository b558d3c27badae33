"""The catalog as a file: `tollgate catalog` (docs/catalog.md).

yaml_text   text with exact numbers and places  <->  values
model       what a file may hold, and its JSON Schema
file        a checked file, or every problem with its line
shapes      the management API's answers  ->  the words of the file
changes     what would make an environment hold what is wanted
target      an environment behind the public API: reads it, and makes the changes
report      what is shown of them
commands    the command line
"""
