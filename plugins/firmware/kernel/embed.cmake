# cmake -D INPUT=file -D OUTPUT=file -D NAME=name -P embed.cmake: the bytes of INPUT as an array.
file(READ ${INPUT} bytes HEX)
string(REGEX REPLACE "(................................)" "\\1\n" bytes "${bytes}")
string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1," bytes "${bytes}")
file(WRITE ${OUTPUT} "#pragma once\ninline constexpr unsigned char ${NAME}[] = {\n${bytes}};\n")
