# Memory: lwIP's own functions for it add nothing to ours but calls, three for each piece.  They stay
# in its files, for nobody.
in_file('include/lwip/mem.h');
replace("void *mem_malloc(mem_size_t size);\n", "#define mem_malloc(size) net_lwip_allocate(size)\n");
replace("void  mem_free(void *mem);\n", "#define mem_free(mem) net_lwip_free(mem)\n");

in_file('core/mem.c');
replace("#include <string.h>\n", "#include <string.h>\n#undef mem_malloc\n#undef mem_free\n");

in_file('include/lwip/memp.h');
replace("void *memp_malloc(memp_t type);\n", "#define memp_malloc(type) net_lwip_allocate(memp_pools[type]->size)\n");
replace("void  memp_free(memp_t type, void *mem);\n", "#define memp_free(type, mem) net_lwip_free(mem)\n");

in_file('core/memp.c');
replace("#include <string.h>\n", "#include <string.h>\n#undef memp_malloc\n#undef memp_free\n");
1;
