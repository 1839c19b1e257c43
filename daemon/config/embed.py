"""Writes a file as a C array: embed.py INPUT OUTPUT NAME HEADER"""

import sys

source, target, name, header = sys.argv[1:5]
with open(source, "rb") as file:
    data = file.read()
with open(target, "w", encoding="ascii") as file:
    file.write(f'#include "{header}"\n\n')
    file.write(f"const char {name}[] = {{\n")
    for i in range(0, len(data), 16):
        file.write("    " + " ".join(f"(char){byte}," for byte in data[i : i + 16]) + "\n")
    file.write(f"}};\nconst size_t {name}_size = sizeof({name});\n")
