"""Writes a file as a C array: embed.py INPUT OUTPUT NAME"""

import sys

source, target, name = sys.argv[1:4]
with open(source, "rb") as file:
    data = file.read()
with open(target, "w", encoding="ascii") as file:
    file.write('#include "config/catalogue.h"\n\n')
    file.write(f"const char {name}[] = {{\n")
    for i in range(0, len(data), 16):
        file.write("    " + " ".join(f"(char){byte}," for byte in data[i : i + 16]) + "\n")
    file.write(f"}};\nconst size_t {name}_size = sizeof({name});\n")
