@echo off
rem Takes POPFetch out of the Windows Task Scheduler. A pass that is running ends by itself; mail and settings stay.
schtasks /delete /tn POPFetch /f
exit /b %ERRORLEVEL%
