/* kpid check --schema: the JSON Schema (draft-07) of the configuration, for editors. */
#pragma once

/*
 * Prints it: settings from settings.def, definitions from config/definitions.schema.json with the
 * functions of libkpi's table. Returns an exit code: 0 or 70.
 */
int schema_print(void);
