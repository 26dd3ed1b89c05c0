# Write a C file that holds a text: cmake -DIN=FILE -DOUT=FILE.c -DHEADER=FILE.h -DNAME=IDENTIFIER
file(READ ${IN} hex HEX)
string(REGEX REPLACE "(..)" "0x\\1," bytes "${hex}")
string(REGEX REPLACE "((0x..,){16})" "    \\1\n" bytes "${bytes}")
file(WRITE ${OUT}.new "#include \"${HEADER}\"

const char ${NAME}[] = {
${bytes} 0};
const size_t ${NAME}_len = sizeof ${NAME} - 1;
")
file(RENAME ${OUT}.new ${OUT})
