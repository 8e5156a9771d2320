"""Looks at pictures before anything is paid: what the vendor would surely refuse is refused here."""
