/*
 * rasapi32.dll, a telephone for tests: the six functions that lib/dial_ras.py calls, with Microsoft's structures.
 *
 * How a dial goes is told by the entry (see `book`) or, without one, by the number. Open connections lie as files
 * in the folder that RASFAKE_DIR names, so that a line outlives its process as it does on Windows, and a test can
 * open one "by somebody else": HANDLE.con holds "UTF-16 units of the entry in hex" "device" "users". Every call is
 * a line of calls.log there.
 */
#define WINVER 0x0501 /* the version of the structures that is spoken */
#define _WIN32_WINNT 0x0600
#include <windows.h>
#include <ras.h>
#include <raserror.h>
#include <stdio.h>
#include <stdlib.h>

_Static_assert(sizeof(RASDIALPARAMSW) == 2108 && sizeof(RASCONNW) == 1372 && sizeof(RASCONNSTATUSW) == 564,
               "the oldest sizes, as lib/ras.py has them");

#define MOST 32
#define DIALLED 0xCCCD /* WM_RASDIALEVENT */

struct behaviour {
    const wchar_t *entry;
    const char *device;
    DWORD answer;   /* what RasDial says at once */
    DWORD error;    /* how the dial ends */
    DWORD takes;    /* milliseconds until then; INFINITE: it does not end */
    DWORD goes;     /* milliseconds that a hang-up takes */
    BOOL silent;    /* no report ever comes */
    const wchar_t *user, *password; /* what the phone book holds */
};

static const struct behaviour book[] = {
    {L"good", "modem", 0, 0, 300, 0, FALSE, NULL, NULL},
    {L"vpn", "vpn", 0, 0, 100, 0, FALSE, NULL, NULL},
    {L"B\u00fcro \u2013 Z\u00fcrich \U0001F4DE", "isdn", 0, 0, 100, 0, FALSE, NULL, NULL},
    {L"busy", "modem", 0, ERROR_LINE_BUSY, 200, 0, FALSE, NULL, NULL},
    {L"no answer", "modem", 0, ERROR_NO_ANSWER, 200, 0, FALSE, NULL, NULL},
    {L"refuses", "modem", ERROR_LINE_BUSY, 0, 0, 0, FALSE, NULL, NULL}, /* with a handle all the same */
    {L"stuck", "modem", 0, 0, INFINITE, 0, FALSE, NULL, NULL},
    {L"silent", "modem", 0, 0, 200, 0, TRUE, NULL, NULL},
    {L"silent busy", "modem", 0, ERROR_LINE_BUSY, 200, 0, TRUE, NULL, NULL},
    {L"slow to go", "modem", 0, 0, 100, 1500, FALSE, NULL, NULL},
    {L"guarded", "modem", 0, 0, 100, 0, FALSE, L"bob", L"secret"}, /* any other login is refused */
    {L"port in use", "modem", ERROR_PORT_NOT_AVAILABLE, 0, 0, 0, FALSE, NULL, NULL},
};
static const struct behaviour by_number = {L"", "modem", 0, 0, 100, 0, FALSE, NULL, NULL};

struct connection {
    HRASCONN handle;
    wchar_t entry[RAS_MaxEntryName + 1];
    const struct behaviour *how;
    RASCONNSTATE state;
    DWORD error, ends; /* what it says now, and how it will end */
    ULONGLONG gone_at; /* 0: not hung up */
    RASDIALFUNC1 report;
    BOOL hung_up;
};

static struct connection table[MOST];
static CRITICAL_SECTION lock;
static wchar_t folder[MAX_PATH];

BOOL WINAPI DllMain(HINSTANCE module, DWORD reason, LPVOID reserved)
{
    (void)module, (void)reserved;
    if (reason == DLL_PROCESS_ATTACH) {
        InitializeCriticalSection(&lock);
        if (!GetEnvironmentVariableW(L"RASFAKE_DIR", folder, MAX_PATH))
            return FALSE;
    }
    return TRUE;
}

static void in_folder(const wchar_t *name, wchar_t *path)
{
    _snwprintf(path, MAX_PATH, L"%ls\\%ls", folder, name);
}

static void hex(const wchar_t *text, char *out)
{
    for (*out = 0; *text; text++, out += 4)
        sprintf(out, "%04x", (unsigned)*text);
}

static void note(const char *what, const wchar_t *entry, const wchar_t *number, const char *more)
{
    wchar_t path[MAX_PATH];
    char line[4096], entry_hex[4 * RAS_MaxEntryName + 1], number_hex[4 * RAS_MaxPhoneNumber + 1];
    hex(entry, entry_hex);
    hex(number, number_hex);
    int length = sprintf(line, "%s [%s] [%s] %s\n", what, entry_hex, number_hex, more);
    in_folder(L"calls.log", path);
    HANDLE file = CreateFileW(path, FILE_APPEND_DATA, FILE_SHARE_READ | FILE_SHARE_WRITE, NULL, OPEN_ALWAYS, 0, NULL);
    DWORD written;
    WriteFile(file, line, length, &written, NULL);
    CloseHandle(file);
}

static void named(HRASCONN handle, wchar_t *path)
{
    wchar_t name[40];
    _snwprintf(name, 40, L"%016llx.con", (unsigned long long)(ULONG_PTR)handle);
    in_folder(name, path);
}

/* Read HANDLE.con; FALSE when there is none. */
static BOOL load(const wchar_t *path, wchar_t *entry, char *device, int *users)
{
    char text[2048], entry_hex[4 * RAS_MaxEntryName + 1] = "";
    DWORD got = 0;
    HANDLE file = CreateFileW(path, GENERIC_READ, FILE_SHARE_READ | FILE_SHARE_WRITE | FILE_SHARE_DELETE, NULL,
                              OPEN_EXISTING, 0, NULL);
    if (file == INVALID_HANDLE_VALUE)
        return FALSE;
    ReadFile(file, text, sizeof text - 1, &got, NULL);
    CloseHandle(file);
    text[got] = 0;
    if (sscanf(text, "%1024s %16s %d", entry_hex, device, users) != 3)
        return FALSE;
    for (const char *from = entry_hex; *from; from += 4) {
        unsigned unit;
        sscanf(from, "%4x", &unit);
        *entry++ = (wchar_t)unit;
    }
    *entry = 0;
    return TRUE;
}

static void save(HRASCONN handle, const wchar_t *entry, const char *device, int users)
{
    wchar_t path[MAX_PATH];
    char text[2048], entry_hex[4 * RAS_MaxEntryName + 1];
    DWORD written;
    hex(entry, entry_hex);
    named(handle, path);
    HANDLE file = CreateFileW(path, GENERIC_WRITE, FILE_SHARE_READ, NULL, CREATE_ALWAYS, 0, NULL);
    WriteFile(file, text, sprintf(text, "%s %s %d\n", entry_hex, device, users), &written, NULL);
    CloseHandle(file);
}

static struct connection *own(HRASCONN handle)
{
    for (int i = 0; i < MOST; i++)
        if (handle && table[i].handle == handle)
            return &table[i];
    return NULL;
}

static const struct behaviour *look_up(const wchar_t *entry)
{
    for (unsigned i = 0; i < sizeof book / sizeof *book; i++)
        if (lstrcmpiW(book[i].entry, entry) == 0)
            return &book[i];
    return NULL;
}

static void reach(struct connection *one, RASCONNSTATE state, DWORD error)
{
    EnterCriticalSection(&lock);
    BOOL wanted = !one->hung_up;
    if (wanted) {
        one->state = state;
        one->error = error;
        if (state == RASCS_Connected)
            save(one->handle, one->entry, one->how->device, 1);
    }
    LeaveCriticalSection(&lock);
    if (wanted && !one->how->silent)
        one->report(one->handle, DIALLED, state, error, 0);
}

static DWORD WINAPI dial(LPVOID argument)
{
    struct connection *one = argument;
    reach(one, RASCS_OpenPort, 0);
    reach(one, RASCS_ConnectDevice, PENDING);
    Sleep(one->how->takes);
    if (one->ends)
        reach(one, RASCS_Disconnected, one->ends);
    else {
        reach(one, RASCS_Authenticate, 0);
        reach(one, RASCS_Connected, 0);
    }
    return 0;
}

/* The connection that already stands under this name, with one user more; NULL when there is none. */
static HRASCONN joined(const wchar_t *entry)
{
    wchar_t pattern[MAX_PATH], path[MAX_PATH], name[RAS_MaxEntryName + 1];
    char device[20];
    int users;
    WIN32_FIND_DATAW found;
    HRASCONN handle = NULL;
    in_folder(L"*.con", pattern);
    HANDLE search = FindFirstFileW(pattern, &found);
    if (search == INVALID_HANDLE_VALUE)
        return NULL;
    do {
        in_folder(found.cFileName, path);
        if (load(path, name, device, &users) && lstrcmpiW(name, entry) == 0) {
            handle = (HRASCONN)(ULONG_PTR)_wcstoui64(found.cFileName, NULL, 16);
            save(handle, name, device, users + 1);
        }
    } while (!handle && FindNextFileW(search, &found));
    FindClose(search);
    return handle;
}

DWORD APIENTRY RasDialW(LPRASDIALEXTENSIONS extensions, LPCWSTR phonebook, LPRASDIALPARAMSW params, DWORD type,
                        LPVOID notifier, LPHRASCONN handle)
{
    if (extensions || phonebook || params->dwSize != sizeof *params || type != 1 || !notifier || *handle)
        return ERROR_INVALID_SIZE;
    const struct behaviour *how = *params->szEntryName ? look_up(params->szEntryName) : &by_number;
    if (!how)
        return ERROR_CANNOT_FIND_PHONEBOOK_ENTRY;
    if (!*params->szEntryName && !*params->szPhoneNumber)
        return ERROR_INVALID_PARAMETER;
    note("dial", params->szEntryName, params->szPhoneNumber, *params->szUserName ? "user" : "nobody");
    wchar_t entry[RAS_MaxEntryName + 1];
    _snwprintf(entry, RAS_MaxEntryName, L"%ls%ls", *params->szEntryName ? params->szEntryName : L".",
               *params->szEntryName ? L"" : params->szPhoneNumber);
    if ((*handle = joined(entry)))
        return SUCCESS;
    if (how->answer == ERROR_PORT_NOT_AVAILABLE)
        return how->answer;

    static LONG dials;
    struct connection *one = &table[InterlockedIncrement(&dials) % MOST];
    memset(one, 0, sizeof *one);
    /* More than 32 bits, as handles may have on 64-bit Windows, and never the same in two processes. */
    one->handle = (HRASCONN)(ULONG_PTR)(0x7f0000000000ull + (GetTickCount64() & 0xffffffffull) * 64 + dials);
    one->how = how;
    one->ends = how->error;
    one->report = (RASDIALFUNC1)notifier;
    lstrcpyW(one->entry, entry);
    *handle = one->handle;
    if (how->user && (wcscmp(params->szUserName, how->user) != 0 || (wcscmp(params->szPassword, how->password) != 0
                                                                  && wcscmp(params->szPassword, L"****") != 0)))
        one->ends = ERROR_AUTHENTICATION_FAILURE;
    if (how->answer)
        return how->answer;
    CloseHandle(CreateThread(NULL, 0, dial, one, 0, NULL));
    return SUCCESS;
}

DWORD APIENTRY RasHangUpW(HRASCONN handle)
{
    wchar_t path[MAX_PATH], entry[RAS_MaxEntryName + 1] = L"";
    char device[20];
    int users = 0;
    named(handle, path);
    BOOL open = load(path, entry, device, &users);
    struct connection *one = own(handle);
    char shown[40];
    sprintf(shown, "%llx", (unsigned long long)(ULONG_PTR)handle);
    note("hang up", entry, L"", shown);
    if (!open && !one)
        return ERROR_INVALID_HANDLE;
    if (users > 1) {
        save(handle, entry, device, users - 1);
        return SUCCESS;
    }
    EnterCriticalSection(&lock);
    if (one) {
        one->hung_up = TRUE;
        one->gone_at = GetTickCount64() + one->how->goes;
    } else
        DeleteFileW(path);
    LeaveCriticalSection(&lock);
    return SUCCESS;
}

DWORD APIENTRY RasGetConnectStatusW(HRASCONN handle, LPRASCONNSTATUSW status)
{
    wchar_t path[MAX_PATH], entry[RAS_MaxEntryName + 1];
    char device[20];
    int users;
    if (status->dwSize != sizeof *status)
        return ERROR_INVALID_SIZE;
    named(handle, path);
    struct connection *one = own(handle);
    if (one && one->hung_up) {
        status->rasconnstate = RASCS_Disconnected;
        status->dwError = 0;
        if (GetTickCount64() < one->gone_at)
            return SUCCESS;
        /* Only who waits for this leaves the port as it was. */
        DeleteFileW(path);
        one->handle = NULL;
        return ERROR_INVALID_HANDLE;
    }
    if (one) {
        status->rasconnstate = one->state;
        status->dwError = one->error;
        return SUCCESS;
    }
    if (!load(path, entry, device, &users))
        return ERROR_INVALID_HANDLE;
    status->rasconnstate = RASCS_Connected;
    status->dwError = 0;
    return SUCCESS;
}

DWORD APIENTRY RasEnumConnectionsW(LPRASCONNW list, LPDWORD size, LPDWORD count)
{
    wchar_t pattern[MAX_PATH], path[MAX_PATH];
    char device[20];
    int users;
    WIN32_FIND_DATAW found;
    if (!list || list->dwSize != sizeof *list)
        return ERROR_INVALID_SIZE;
    DWORD room = *size / sizeof *list;
    *count = 0;
    in_folder(L"*.con", pattern);
    HANDLE search = FindFirstFileW(pattern, &found);
    if (search == INVALID_HANDLE_VALUE)
        return SUCCESS;
    do {
        RASCONNW *one = list + *count;
        if (*count == room)
            break;
        in_folder(found.cFileName, path);
        memset(one, 0, sizeof *one);
        one->dwSize = sizeof *one;
        if (!load(path, one->szEntryName, device, &users))
            continue;
        one->hrasconn = (HRASCONN)(ULONG_PTR)_wcstoui64(found.cFileName, NULL, 16);
        MultiByteToWideChar(CP_ACP, 0, device, -1, one->szDeviceType, RAS_MaxDeviceType);
        lstrcpyW(one->szDeviceName, L"A telephone for tests");
        ++*count;
    } while (FindNextFileW(search, &found));
    FindClose(search);
    *size = *count * sizeof *list;
    return SUCCESS;
}

DWORD APIENTRY RasGetEntryDialParamsW(LPCWSTR phonebook, LPRASDIALPARAMSW params, LPBOOL has_password)
{
    if (phonebook || params->dwSize != sizeof *params)
        return ERROR_INVALID_SIZE;
    const struct behaviour *how = look_up(params->szEntryName);
    if (!how)
        return ERROR_CANNOT_FIND_PHONEBOOK_ENTRY;
    *has_password = how->password != NULL;
    lstrcpyW(params->szUserName, how->user ? how->user : L"");
    lstrcpyW(params->szPassword, how->password ? L"****" : L""); /* a handle that only RasDial resolves */
    return SUCCESS;
}

DWORD APIENTRY RasGetErrorStringW(UINT code, LPWSTR text, DWORD characters)
{
    const wchar_t *words = code == ERROR_LINE_BUSY                        ? L"The line is busy."
                           : code == ERROR_NO_ANSWER                      ? L"There was no answer."
                           : code == ERROR_AUTHENTICATION_FAILURE         ? L"Zugriff verweigert \u2013\r\nfalsches Kennwort."
                           : code == ERROR_CANNOT_FIND_PHONEBOOK_ENTRY    ? L"The phone book has no such entry."
                                                                          : NULL;
    if (!words)
        return ERROR_INVALID_PARAMETER;
    if (characters <= (DWORD)lstrlenW(words))
        return ERROR_INSUFFICIENT_BUFFER;
    lstrcpyW(text, words);
    return SUCCESS;
}
