id @USER@ || useradd --system --shell /usr/sbin/nologin @USER@
@MAKE@
mkdir -p @PARENT@
cp -R @NAME@ @FOLDER@
chown -R @USER@ @FOLDER@
cp @UNIT_FILE@ /etc/systemd/system/
systemctl daemon-reload && systemctl enable --now @UNIT@
