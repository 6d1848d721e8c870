# POPFetch. Install this file as /etc/cron.d/popfetch: owned by root, mode 0644, no dot in its name (cron would pass
# it over). cron asks every 5 minutes whether a pass is due; ras_timer and pf_isinterval in dmail.conf have the last word.
# A pass that has nothing to complain about prints nothing, so cron mails complaints only.
SHELL=/bin/sh
PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
*/5 * * * * popfetch /opt/popfetch_batch/.venv/bin/python /opt/popfetch_batch/popfetch_batch.py --scheduled -i /etc/dmail.conf
