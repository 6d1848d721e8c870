@echo off
rem Registers POPFetch with the Windows Task Scheduler, with the paths of this machine and ras_timer of dmail.conf.
rem Run it as an administrator:   install_task.cmd [PYTHON.EXE [DMAIL.CONF]]
rem Without arguments Python is the one in the .venv folder beside popfetch_batch.py, and dmail.conf where the program
rem looks for it by itself. Once more after a change of ras_timer.
setlocal
set "PROGRAM=%~dp0..\popfetch_batch.py"
set "PYTHON=%~1"
if not defined PYTHON set "PYTHON=%~dp0..\.venv\Scripts\python.exe"
if not exist "%PYTHON%" (
  echo There is no "%PYTHON%". Say which Python to use: install_task.cmd PYTHON.EXE
  exit /b 64
)
set "CONF="
if not "%~2"=="" set CONF=-i "%~2"

echo SYSTEM reads no drive of the network and no dial-up entry that a user has made for himself alone.
set "ACCOUNT="
set /p "ACCOUNT=Account that fetches the mail, as COMPUTER\NAME (empty: SYSTEM): "

set "XML=%TEMP%\popfetch_task_%RANDOM%%RANDOM%.xml"
"%PYTHON%" "%PROGRAM%" %CONF% --print-schedule task > "%XML%"
if errorlevel 1 goto end
rem The account's password is asked for by schtasks itself; it is in no file.
if not "%ACCOUNT%"=="" (
  schtasks /create /tn POPFetch /xml "%XML%" /ru "%ACCOUNT%" /rp * /f
) else (
  schtasks /create /tn POPFetch /xml "%XML%" /ru SYSTEM /f
)
:end
set "RESULT=%ERRORLEVEL%"
del "%XML%"
exit /b %RESULT%
