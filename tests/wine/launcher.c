/* python.exe: all of Python is in the DLL; this only calls it, and needs nothing but Windows. */
#include <windows.h>

int wmain(int count, wchar_t **words)
{
    HMODULE python = LoadLibraryW(PYTHON_DLL);
    int (*py_main)(int, wchar_t **) = python ? (void *)GetProcAddress(python, "Py_Main") : NULL;
    return py_main ? py_main(count, words) : 103;
}
