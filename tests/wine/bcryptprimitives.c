/* What Rust's standard library asks Windows 10 for and wine 8 does not have: random octets. */
#include <windows.h>

BOOLEAN NTAPI SystemFunction036(PVOID octets, ULONG count); /* RtlGenRandom */

__declspec(dllexport) BOOL WINAPI ProcessPrng(PBYTE octets, SIZE_T count)
{
    return SystemFunction036(octets, (ULONG)count);
}
